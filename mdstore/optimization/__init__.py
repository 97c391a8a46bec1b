"""When the file is put in order, and why: rules that explain themselves over measures of its pages."""
