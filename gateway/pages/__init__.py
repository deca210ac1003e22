"""Pages for people: server-rendered, plain forms, over the same functions that answer the API."""
