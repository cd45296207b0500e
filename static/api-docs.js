// Draws the API's page.
const place = document.getElementById("api");

// Swagger UI does not choose its dark scheme by itself.
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const scheme = () => root.classList.toggle("dark-mode", (root.dataset.theme ?? (system.matches && "dark")) === "dark");
(system.onchange = scheme)();

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (new URL(request.url, location).origin === origin) request.headers["X-CSRFToken"] = place.dataset.csrf;
    return request;
  },
});
