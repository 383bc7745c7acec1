"""/api/graphql, for the vendor's clients: thin resolvers over the services that the REST routes use."""
