"""What the processes do; the commands that start them are one floor up and import nothing heavy."""
