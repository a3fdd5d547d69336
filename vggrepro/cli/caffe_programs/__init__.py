"""The actions of Caffe's command and its tools, one module each, called by their names."""
