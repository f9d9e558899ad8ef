"""What people look at: galleries, plots, the HTML report, W&B runs."""
