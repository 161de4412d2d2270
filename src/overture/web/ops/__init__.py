"""The console: what whoever runs the installation sees of it, and does. See `ops.sections`."""
