import { render } from "preact";
import { App } from "./ui/App.js";

const page = document.getElementById("page");
if (page) render(<App />, page);
