// Draws the API's page, in the console's session.
const place = document.getElementById("api");

// Swagger UI has a dark scheme, and no idea when to use it: by the console's theme, or the system's.
const system = matchMedia("(prefers-color-scheme: dark)");
const scheme = () => {
  const { theme } = document.documentElement.dataset;
  document.documentElement.classList.toggle("dark-mode", theme ? theme === "dark" : system.matches);
};
scheme();
system.addEventListener("change", scheme);

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
