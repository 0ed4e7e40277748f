"""What crosses a border: events in, decisions out, policy and directory documents."""
