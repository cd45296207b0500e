// Draws the API's page.
const place = document.getElementById("api");

// Swagger UI does not choose its dark scheme by itself.
const system = matchMedia("(prefers-color-scheme: dark)");
const scheme = () => {
  const { theme } = document.documentElement.dataset;
  document.documentElement.classList.toggle("dark-mode", theme ? theme === "dark" : system.matches);
};
(system.onchange = scheme)();

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  },
});
