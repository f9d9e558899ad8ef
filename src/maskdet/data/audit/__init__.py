"""What is wrong with a labelled set: rules, checks of pictures and labels, copies, repair."""
