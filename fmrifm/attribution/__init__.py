"""Attribution: which regions matter, to reconstruction and to the classifier."""
