"""Pictures of what the toolkit does: views, training crops, filters, feature maps, nets."""
