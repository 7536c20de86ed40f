// The dialog begins in the field for the e-mail address, not in the one for a token below it.
const NoAutoFocus = () => ({
  wrapComponents: {
    Input: (Original, system) => (props) => system.React.createElement(Original, { ...props, autoFocus: false }),
  },
});

// Of a list whose items have a format, such as a parameter of several ids, Swagger UI 5.34 asks for a field of that format
// and complains in the console that there is none; of a single value it asks silently. Both get a field for text.
const QuietLists = () => ({
  wrapComponents: {
    JsonSchema_array: (Original, system) => {
      const getComponent = (name, container) => system.getComponent(name, container, { failSilently: true });
      return (props) => system.React.createElement(Original, { ...props, getComponent });
    },
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
    plugins: [NoAutoFocus, QuietLists],
  });
});
