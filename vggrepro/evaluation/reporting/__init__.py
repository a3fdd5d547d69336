"""Results as JSON, Markdown and a page with plots."""
