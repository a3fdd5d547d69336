"""Which class each image has: label lists, synset files, the devkit."""
