// The dialog begins in the field for the e-mail address, not in the one for a token below it.
const NoAutoFocus = () => ({
  wrapComponents: {
    Input: (Original, system) => (props) => system.React.createElement(Original, { ...props, autoFocus: false }),
  },
});

window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "/docs/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [NoAutoFocus],
  });
});
