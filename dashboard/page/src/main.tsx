import { render } from "preact";
import { App } from "./app";
import { applyScheme, scheme } from "./parts/settings";
import "./style/colours.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/views.css";

applyScheme(scheme());
const root = document.querySelector("#app");
if (root !== null) render(<App />, root);
