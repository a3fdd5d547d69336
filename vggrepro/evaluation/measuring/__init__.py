"""From images and networks to log posteriors: views, batches, the view cache."""
