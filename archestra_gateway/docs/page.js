// Shows the document with swagger-ui, whose bundle the page loads before this module.
const answer = await fetch("/api/openapi.json");
const spec = await answer.json();

// The page may talk to where it came from and to nobody else, and that may be 127.0.0.1 where the document says localhost.
spec.servers = [{ url: location.origin }];

SwaggerUIBundle({
  spec,
  dom_id: "#docs",
  deepLinking: true,
  displayOperationId: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
