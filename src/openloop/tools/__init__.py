"""The tool gateway: native toolsets, and later MCP."""
