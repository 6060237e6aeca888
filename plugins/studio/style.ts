/** The page's style. It stands inline in the page; colours are custom properties, set for light and dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f3f6fa; --surface: #fff; --sunken: #eef2f7; --line: #d9e1ea; --edge: #8493a5;
  --text: #15202e; --muted: #56657a; --accent: #1259c9; --accent-hover: #0d479f; --on-accent: #fff; --tint: #e4eefd; --mine: #1259c9;
  --good: #0f7a4d; --bad: #b42318; --bad-tint: #fdecea; --warn: #8a5a00; --warn-tint: #fdf3dc;
  --shadow: 0 1px 2px rgb(16 32 56 / .06), 0 8px 24px rgb(16 32 56 / .06);
  --radius: 14px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0c1118; --surface: #151c26; --sunken: #0f151d; --line: #28333f; --edge: #66778a;
    --text: #e7eef6; --muted: #9fb0c3; --accent: #6cabff; --accent-hover: #93c2ff; --on-accent: #06172e; --tint: #16273f; --mine: #1d4f96;
    --good: #4fd093; --bad: #ff8f84; --bad-tint: #331a19; --warn: #f0c060; --warn-tint: #2d2514;
    --shadow: 0 1px 2px rgb(0 0 0 / .4), 0 8px 24px rgb(0 0 0 / .25);
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-padding-top: 5.5rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1, h2, h3, p, ul, ol, pre, fieldset { margin: 0; padding: 0; }
h1, h2 { font-size: 1.125rem; line-height: 1.3; letter-spacing: -.01em; }
a { color: var(--accent); text-underline-offset: .15em; }
button, input, select, textarea { font: inherit; color: inherit; }
[hidden] { display: none !important; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: fixed; left: 1rem; top: .75rem; z-index: 3; padding: .5rem 1rem; border-radius: 8px; background: var(--accent); color: var(--on-accent); }
.skip:not(:focus) { clip-path: inset(50%); }
.muted { color: var(--muted); }

header { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.25rem; padding: .7rem max(1.25rem, (100vw - 84rem) / 2); background: var(--surface); border-bottom: 1px solid var(--line); }
.brand { display: flex; align-items: center; gap: .65rem; color: var(--text); text-decoration: none; font-weight: 500; white-space: nowrap; }
.brand svg { width: 2rem; height: 2rem; display: block; }
nav { display: flex; gap: .15rem; margin-right: auto; }
nav a, .docs { padding: .3rem .6rem; border-radius: 8px; color: var(--muted); text-decoration: none; font-size: .9375rem; }
nav a:hover, .docs:hover { background: var(--sunken); color: var(--text); }
#health { display: flex; align-items: center; gap: .45rem; font-size: .875rem; color: var(--muted); white-space: nowrap; }
#health::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: var(--edge); }
#health[data-state=good]::before { background: var(--good); }
#health[data-state=bad] { color: var(--bad); }
#health[data-state=bad]::before { background: var(--bad); }
.identity { display: flex; align-items: center; gap: .5rem; font-size: .9375rem; white-space: nowrap; }
.identity input { width: 11rem; }

main, .work, .create { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.25rem; }
main { max-width: 84rem; margin: 0 auto; padding: 1.25rem; }
.panel { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: var(--shadow); padding: 1.1rem 1.25rem 1.25rem; }
.panel-head { display: flex; align-items: center; gap: .75rem; min-height: 2.25rem; margin-bottom: .5rem; }
.panel-head button { margin-left: auto; }
#chat-turns { font-size: .875rem; }

form { display: grid; gap: .6rem; }
form > label { font-size: .9375rem; font-weight: 500; }
input[type=text], select, textarea { border: 1px solid var(--edge); border-radius: 10px; background: var(--surface); padding: .45rem .7rem; }
textarea { width: 100%; min-height: 4rem; max-height: 14rem; resize: vertical; field-sizing: content; }
select { padding-right: .4rem; height: 2.5rem; }
input::placeholder, textarea::placeholder { color: var(--muted); opacity: 1; }
input[aria-invalid=true] { border-color: var(--bad); box-shadow: 0 0 0 1px var(--bad); }
.row { display: flex; flex-wrap: wrap; align-items: end; gap: .6rem; }
#chat-form .row { align-items: center; gap: .6rem; }
.row label, legend { font-size: .875rem; color: var(--muted); }
.field { display: grid; gap: .15rem; }
button { cursor: pointer; border: 1px solid transparent; border-radius: 10px; padding: .45rem 1rem; }
.primary { margin-left: auto; height: 2.5rem; padding: 0 1.25rem; background: var(--accent); color: var(--on-accent); font-weight: 600; }
.primary:hover { background: var(--accent-hover); }
.primary[aria-disabled=true] { opacity: .55; cursor: progress; }
.quiet { padding: .3rem .8rem; background: transparent; border-color: var(--edge); font-size: .9375rem; }
.quiet:hover { background: var(--sunken); }
.segments { display: flex; flex-wrap: wrap; border: 0; min-width: 0; }
.segments legend { padding: 0; margin-bottom: .15rem; }
.segments label { position: relative; }
.segments input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.segments span { display: flex; align-items: center; gap: .4rem; height: 2.5rem; padding: 0 .65rem; border: 1px solid var(--edge); margin-left: -1px; font-size: .9375rem; color: var(--text); }
.segments label:first-of-type span { border-radius: 10px 0 0 10px; margin-left: 0; }
.segments label:last-of-type span { border-radius: 0 10px 10px 0; }
.segments input:checked + span { background: var(--tint); border-color: var(--accent); color: var(--accent); position: relative; font-weight: 600; }
.segments input:focus-visible + span { outline: 3px solid var(--accent); outline-offset: 2px; position: relative; }
.shape { display: block; border: 2px solid currentcolor; border-radius: 3px; width: .9rem; height: .9rem; }
.shape.LANDSCAPE { width: 1.15rem; height: .7rem; }
.shape.PORTRAIT { width: .7rem; height: 1.15rem; }

#chat { display: flex; flex-direction: column; height: min(44rem, 90vh); min-height: 26rem; }
#chat-log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; position: relative; display: flex; flex-direction: column; gap: .75rem; margin: 0 -.5rem .75rem; padding: .5rem; border-radius: 10px; }
#chat-welcome { margin: auto; max-width: 26rem; text-align: center; display: grid; gap: .75rem; }
.lead { font-size: 1.5rem; font-weight: 600; letter-spacing: -.02em; }
#chat-welcome .chips { justify-content: center; }
.bubble { position: relative; max-width: min(46rem, 94%); padding: .65rem .95rem; border-radius: 16px; overflow-wrap: anywhere; }
.bubble.me { align-self: end; background: var(--mine); color: #fff; border-bottom-right-radius: 5px; white-space: pre-wrap; }
.bubble.bing { align-self: start; background: var(--sunken); border-bottom-left-radius: 5px; }
.prose > * + * { margin-top: .65em; }
.prose ul, .prose ol { padding-left: 1.4em; }
.prose h3 { font-size: 1.05em; }
.prose code { background: var(--surface); border: 1px solid var(--line); border-radius: 5px; padding: .05em .3em; font: .875em ui-monospace, "SF Mono", Consolas, monospace; }
.prose pre { overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: .75em .9em; }
.prose pre code { border: 0; padding: 0; background: none; overflow-wrap: normal; }
.prose blockquote { margin: .65em 0 0; padding-left: .8em; border-left: 3px solid var(--edge); color: var(--muted); }
.table { overflow-x: auto; }
.table table { border-collapse: collapse; font-size: .9375rem; }
.table th, .table td { border: 1px solid var(--line); padding: .3em .7em; text-align: left; background: var(--surface); overflow-wrap: normal; }
.cite { line-height: 0; font-size: .72em; }
.cite a, .cite { text-decoration: none; padding: 0 .1em; }
.bubble .notice { margin-top: .6rem; }
#actions { display: grid; gap: .5rem; }
#actions:empty { position: absolute; }
.notice { padding: .4rem .7rem; border-radius: 8px; font-size: .9375rem; background: var(--warn-tint); color: var(--warn); }
.sources { margin-top: .75rem; padding-top: .6rem; border-top: 1px solid var(--line); font-size: .875rem; }
.sources h3 { font-size: .8125rem; color: var(--muted); font-weight: 600; }
.sources ol { padding-left: 1.3em; }
.sources span { color: var(--muted); }
.chips { display: flex; flex-wrap: wrap; gap: .45rem; }
.bubble .chips { margin-top: .8rem; }
.chip { padding: .3rem .8rem; border-radius: 999px; border-color: var(--edge); background: var(--surface); color: var(--accent); font-size: .9rem; text-align: left; }
.chip:hover { background: var(--tint); border-color: var(--accent); }
.typing { display: flex; gap: .3rem; padding: 1rem; }
.typing i { width: .5rem; height: .5rem; border-radius: 50%; background: var(--muted); animation: hop 1.2s infinite; }
.typing i:nth-of-type(2) { animation-delay: .15s; }
.typing i:nth-of-type(3) { animation-delay: .3s; }
@keyframes hop { 0%, 60%, 100% { opacity: .35; } 30% { opacity: 1; transform: translateY(-.2rem); } }

.result:not(:empty) { margin-top: 1.1rem; display: grid; gap: .8rem; }
.waiting p { display: flex; justify-content: space-between; gap: 1rem; font-size: .9375rem; }
.seconds { color: var(--muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { position: relative; height: .4rem; margin-top: .4rem; border-radius: 999px; background: var(--sunken); overflow: hidden; }
.bar::before { content: ""; position: absolute; inset: 0 60% 0 0; border-radius: inherit; background: var(--accent); animation: pass 1.6s ease-in-out infinite; }
@keyframes pass { from { transform: translateX(-100%); } to { transform: translateX(250%); } }
.pictures { display: grid; gap: .6rem; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.pictures.n1 { grid-template-columns: minmax(0, 30rem); }
.pictures.n1.PORTRAIT { grid-template-columns: minmax(0, 18rem); }
.pictures.n1.LANDSCAPE { grid-template-columns: minmax(0, 1fr); }
.pictures.PORTRAIT:not(.n1) { grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
.picture { display: block; border-radius: 10px; overflow: hidden; }
.picture img { display: block; width: 100%; height: auto; background: var(--sunken); }
.sketch { aspect-ratio: 1; background: linear-gradient(100deg, var(--sunken) 40%, var(--line) 50%, var(--sunken) 60%) 0 0 / 300% 100%; animation: shine 1.8s linear infinite; }
.sketch.LANDSCAPE { aspect-ratio: 7 / 4; }
.sketch.PORTRAIT { aspect-ratio: 4 / 7; }
@keyframes shine { from { background-position: 100% 0; } to { background-position: -50% 0; } }
.caption { font-size: .9375rem; color: var(--muted); }
.caption strong { font-weight: 600; color: var(--text); }
.result video { display: block; max-width: 100%; min-height: 9rem; max-height: 30rem; border-radius: 10px; background: var(--sunken); }
.error { padding: .7rem .95rem; border-radius: 10px; background: var(--bad-tint); border: 1px solid var(--bad); overflow-wrap: anywhere; }
.error-message { font-weight: 500; }
.error-facts { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8125rem; color: var(--muted); }
.error-facts code { font-family: ui-monospace, "SF Mono", Consolas, monospace; }
.error .quiet { margin-top: .5rem; }

#recent { padding: .5rem .1rem 1rem; }
#recent h2 { margin-bottom: .6rem; }
.cards { list-style: none; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden; min-width: 0; }
.preview { position: relative; aspect-ratio: 4 / 3; background: var(--sunken); overflow: hidden; }
.preview video { width: 100%; height: 100%; object-fit: contain; background: #000; display: block; }
.mosaic { display: grid; gap: 2px; grid-template-columns: 1fr 1fr; grid-auto-rows: minmax(0, 1fr); }
.mosaic.n1 { grid-template-columns: 1fr; }
.mosaic.n3 > :first-child { grid-row: span 2; }
.mosaic a { border-radius: 0; min-height: 0; }
.mosaic img { width: 100%; height: 100%; object-fit: cover; display: block; }
.mosaic a:focus-visible { outline-offset: -4px; }
[data-status=processing] .preview.empty { background: linear-gradient(100deg, var(--sunken) 40%, var(--line) 50%, var(--sunken) 60%) 0 0 / 300% 100%; animation: shine 1.8s linear infinite; }
.gone { display: grid; place-items: center; height: 100%; min-height: 4rem; padding: .5rem; text-align: center; font-size: .8125rem; color: var(--muted); background: var(--sunken); }
.card-text { display: grid; gap: .35rem; padding: .7rem .9rem .85rem; }
.card-prompt { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; font-size: .9375rem; line-height: 1.4; overflow-wrap: anywhere; }
.card-meta { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .6rem; font-size: .8125rem; color: var(--muted); }
.card-error { font-size: .8125rem; color: var(--bad); overflow-wrap: anywhere; }
.badge { padding: .05rem .55rem; border-radius: 999px; background: var(--sunken); color: var(--muted); font-weight: 600; }
.badge.completed { color: var(--good); }
.badge.failed { background: var(--bad-tint); color: var(--bad); }
.badge.processing { background: var(--tint); color: var(--accent); }
footer { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 2rem; max-width: 84rem; margin: 0 auto; padding: 1rem 1.25rem 2rem; font-size: .875rem; color: var(--muted); }
footer a { margin-right: .75rem; }

@media (min-width: 62rem) {
  .work { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); align-items: start; }
  #chat { position: sticky; top: 5.25rem; height: clamp(30rem, 100vh - 6.75rem, 56rem); }
}
@media (max-width: 48rem) {
  header { position: static; gap: .5rem .75rem; padding-inline: .75rem; }
  #health { order: 1; margin-left: auto; }
  .identity { order: 2; }
  nav { order: 3; margin: 0; }
  .docs { order: 4; margin-left: auto; }
  nav a, .docs { padding: .45rem .5rem; }
  .identity { flex: 1 1 100%; min-width: 0; }
  .identity input { flex: 1; min-width: 0; width: 0; }
  main { padding: 1rem .75rem; }
  .row .primary { flex: 1; }
  html { scroll-padding-top: 1rem; }
}
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation-duration: 4s !important; transition: none !important; }
  .typing i { animation: none; }
}
@media (forced-colors: active) {
  .segments input:checked + span { outline: 2px solid; }
}
`
