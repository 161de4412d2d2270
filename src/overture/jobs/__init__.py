"""What happens by itself: work made of what happened, done when it is due."""
