// What every page loads. Each module listens on the document, so that it serves what comes later too.
import "./live.js";
import "./forms.js";
import "./files.js";
import "./compose.js";
import "./thread.js";
import "./keys.js";
import "./menus.js";
import "./stream.js";
import "./here.js";
import "./accounts.js";
import "./passkeys.js";
import "./push.js";
import "./offline.js";
