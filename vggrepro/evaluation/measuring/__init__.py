"""From images and networks to log posteriors: views, batches, the pipeline, the view cache."""
