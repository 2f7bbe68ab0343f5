"""What goes over the wire: requests and responses, which need neither torch nor a web framework."""
