"""How a person, a channel or a message leaves each kind of file: databases and their copies, rows, documents, logs."""
