"""The Web API's methods, a module per family; each answers the JSON of a success or refuses."""
