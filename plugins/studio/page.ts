import { ASPECTS, MODELS } from '../../schemas/image.ts'
import type { TaskView } from '../../schemas/task.ts'
import { html, Markup } from './html.ts'
import { taskCard } from './recent.ts'
import { SCRIPT } from './script.ts'
import { STYLE } from './style.ts'

/** Whole: the end of a script within a template has a meaning of its own to some compilers. */
const SCRIPT_ELEMENT = new Markup(`<script>${SCRIPT}</script>`)

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop stop-color="#0ea5a4"/><stop offset="1" stop-color="#2563eb"/></linearGradient></defs><rect width="32" height="32" rx="9" fill="url(#g)"/><path d="M8 24V14a8 8 0 0 1 16 0v10" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/><circle cx="16" cy="20" r="3" fill="#fff"/></svg>`
const FAVICON = `data:image/svg+xml,${encodeURIComponent(ICON)}`

const MODEL_NAMES: Record<(typeof MODELS)[number]['id'], string> = {
  DALLE: 'DALL-E',
  GPT4O: 'GPT-4o',
  MAI1: 'MAI Image 1'
}
const ASPECT_NAMES: Record<(typeof ASPECTS)[number]['id'], string> = {
  SQUARE: 'Square',
  LANDSCAPE: 'Landscape',
  PORTRAIT: 'Portrait'
}
const SPEEDS = [
  { id: 'standard', name: 'Standard' },
  { id: 'fast', name: 'Fast' }
]

const EXAMPLES = {
  Bing: ['What can you help me with?', 'Give me three ideas for a rainy Sunday', 'How high is Mount Fuji?'],
  Copilot: ['What can you help me with?', 'Draw a lighthouse at dusk', 'How high is Mount Fuji?']
}

export interface StudioPage {
  /** Creations of visitors without a name; empty where those are not allowed. */
  recent: readonly TaskView[]
  /** Where the page of creations after these begins; null when there is none. */
  nextCursor: string | null
  /** Whether a visitor needs no name for pictures and video. */
  anonymous: boolean
  /** AUTH_MODE=key: names alone count for nothing. */
  keysOnly: boolean
  /** Who answers in the chat. */
  chatName: keyof typeof EXAMPLES
}

/** The whole studio page. */
export function studioPage({ recent, nextCursor, anonymous, keysOnly, chatName }: StudioPage): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="Chat, pictures and video through this bing-gateway.">
<title>Studio · bing-gateway</title>
<link rel="icon" href="${FAVICON}">
<style>${new Markup(STYLE)}</style>
${SCRIPT_ELEMENT}
</head>
<body data-auth="${keysOnly ? 'key' : 'whitelist'}" data-anonymous="${String(anonymous)}" data-chat="${chatName}">
<a class="skip" href="#main">Skip to the content</a>
${header(anonymous, keysOnly)}
<main id="main">
<noscript><p class="error">This page needs JavaScript. The API works without it: see the <a href="docs">API reference</a>.</p></noscript>
<div id="actions" role="status"></div>
<p id="announcer" class="sr" role="status"></p>
<div class="work">
${chat(keysOnly, chatName)}
<div class="create">
${images()}
${video()}
</div>
</div>
${recentCreations(recent, nextCursor)}
</main>
<footer><p>${
    chatName === 'Bing'
      ? 'Answers, pictures and videos come from Bing'
      : `Answers come from ${chatName}, pictures and videos from Bing,`
  } through your own gateway. Check what matters.</p>
<p><a href="docs">API reference</a> <a href="openapi.json">OpenAPI document</a></p></footer>
</body>
</html>
`.text
}

const header = (anonymous: boolean, keysOnly: boolean) => html`<header>
<a class="brand" href="studio">${new Markup(ICON.replace('<svg ', '<svg aria-hidden="true" '))}<span>bing-gateway <b>Studio</b></span></a>
<nav aria-label="On this page"><a href="#chat">Chat</a><a href="#images">Images</a><a href="#video">Video</a><a href="#recent">Recent</a></nav>
<p id="health" role="status" data-state="idle">Checking</p>
<div class="identity" role="group" aria-label="Who you are">${keysOnly ? keyField() : nameOrKeyField(anonymous)}
<span id="user-field" class="who"${!keysOnly && new Markup(' hidden')}><label for="user">User name</label>
<input id="user" type="text" maxlength="128" autocomplete="username" autocapitalize="none" spellcheck="false" placeholder="for chat" aria-describedby="user-help identity-problem">
<span id="user-help" class="sr">The name that the API key was made for. Chat needs it.</span></span></div>
<a class="docs" href="docs">API docs</a>
<p id="identity-problem" hidden></p>
</header>`

const keyField = () => html`<span class="who"><label for="credential">API key</label>
<input id="credential" type="password" maxlength="256" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="bgw_…" aria-describedby="credential-help identity-problem">
<span id="credential-help" class="sr">Everything on this page needs it. Only this tab keeps it, until it is closed.</span></span>`

const nameOrKeyField = (
  anonymous: boolean
) => html`<span class="who"><label for="credential">Name or API key</label>
<input id="credential" type="text" maxlength="256" autocomplete="username" autocapitalize="none" spellcheck="false" placeholder="from the whitelist" aria-describedby="credential-help identity-problem">
<span id="credential-help" class="sr">A name from the whitelist, or an API key, which only this tab keeps. ${
  anonymous ? 'Chat needs it; images and video work without.' : 'Everything on this page needs it.'
}</span></span>`

const chat = (
  keysOnly: boolean,
  chatName: StudioPage['chatName']
) => html`<section id="chat" class="panel" aria-labelledby="chat-title">
<div class="panel-head"><h1 id="chat-title">Chat</h1><span id="chat-turns" class="muted"></span>
<button type="button" id="chat-new" class="quiet">New conversation</button></div>
<details id="history"><summary>History</summary>
<div class="history-body"><div id="history-trouble"></div>
<p id="history-empty" class="muted" hidden></p>
<ul id="history-list" aria-label="Past conversations"></ul>
<button type="button" id="history-more" class="quiet" hidden>Load more</button></div>
</details>
<div id="chat-log" role="log" aria-live="polite" aria-label="Conversation" tabindex="0">
<div id="chat-welcome"><p class="lead">Ask ${chatName} anything</p>
<p class="muted">${
  keysOnly
    ? 'Put your API key and your user name into the fields at the top'
    : 'Put a name from the whitelist, or an API key, into the field at the top'
}, then write below or pick a start.</p>
<div class="chips" role="group" aria-label="Examples">${EXAMPLES[chatName].map(
  (text) => html`<button type="button" class="chip" data-ask>${text}</button>`
)}</div></div>
</div>
<form id="chat-form">
<label class="sr" for="chat-prompt">Message</label>
<textarea id="chat-prompt" rows="2" required placeholder="Message. Enter sends, Shift+Enter starts a new line."></textarea>
<div class="row"><label for="chat-tone">Tone</label>
<select id="chat-tone"><option value="balanced">Balanced</option><option value="creative">Creative</option><option value="precise">Precise</option></select>
<button type="button" id="chat-stop" class="quiet" hidden>Stop</button>
<button type="submit" class="primary">Send</button></div>
</form>
<p id="chat-closed" class="notice" role="status" hidden></p>
</section>`

const images = () => html`<section id="images" class="panel" aria-labelledby="images-title">
<div class="panel-head"><h2 id="images-title">Images</h2></div>
<form id="image-form">
<label for="image-prompt">What should be in the picture?</label>
<textarea id="image-prompt" rows="2" maxlength="480" required placeholder="A lighthouse above the sea at sunset, oil painting"></textarea>
<div class="row"><span class="field"><label for="image-model">Model</label>
<select id="image-model" name="model">${MODELS.map(({ id }) => html`<option value="${id}">${MODEL_NAMES[id]}</option>`)}</select></span>
<fieldset class="segments"><legend>Shape</legend>${ASPECTS.map(
  ({ id }, i) =>
    html`<label><input type="radio" name="aspect" value="${id}"${i === 0 && new Markup(' checked')}><span><i class="shape ${id}" aria-hidden="true"></i>${ASPECT_NAMES[id]}</span></label>`
)}</fieldset>
<button type="submit" class="primary">Create images</button></div>
</form>
<div id="image-result" class="result" tabindex="-1" aria-live="polite" aria-busy="false"></div>
</section>`

const video = () => html`<section id="video" class="panel" aria-labelledby="video-title">
<div class="panel-head"><h2 id="video-title">Video</h2></div>
<form id="video-form">
<label for="video-prompt">What should happen in the video?</label>
<textarea id="video-prompt" rows="2" maxlength="480" required placeholder="Waves rolling onto a beach at dawn"></textarea>
<div class="row"><fieldset class="segments"><legend>Speed</legend>${SPEEDS.map(
  ({ id, name }, i) =>
    html`<label><input type="radio" name="speed" value="${id}"${i === 0 && new Markup(' checked')}><span>${name}</span></label>`
)}</fieldset>
<button type="submit" class="primary">Create video</button></div>
</form>
<div id="video-result" class="result" tabindex="-1" aria-live="polite" aria-busy="false"></div>
</section>`

const recentCreations = (
  recent: readonly TaskView[],
  nextCursor: string | null
) => html`<section id="recent" aria-labelledby="recent-title">
<h2 id="recent-title">Recent creations</h2>
<p id="recent-empty" class="muted"${recent.length > 0 && new Markup(' hidden')}>Nothing here yet. What you create shows up here.</p>
<div id="recent-list"><ul class="cards"${nextCursor !== null && html` data-cursor="${nextCursor}"`}>${recent.map(taskCard)}</ul></div>
<div id="recent-trouble"></div>
<p class="more"><button type="button" id="recent-more" class="quiet"${nextCursor === null && new Markup(' hidden')}>Load more</button></p>
</section>`
