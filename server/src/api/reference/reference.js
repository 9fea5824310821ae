// Shows /v1/openapi with Swagger UI; keys that are typed in stay in this browser's tab.
window.SwaggerUIBundle({
  url: '/v1/openapi',
  dom_id: '#reference',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: -1,
  defaultModelRendering: 'model',
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  syntaxHighlight: { theme: 'nord' },
});
