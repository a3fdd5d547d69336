"""The paper's test protocols, its tables, and measured numbers beside them."""
