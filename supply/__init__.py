"""What Overture is made of besides itself, and whether that may and should be shipped."""
