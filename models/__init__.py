"""Networks, training recipes, data sets, and the zoo of trained bundles."""
