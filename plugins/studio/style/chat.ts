/** The chat and its history. */
export const CHAT = `
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
.drawn { display: grid; gap: .6rem; align-items: start; width: 20rem; max-width: 100%; }
.prose + .drawn { margin-top: .7rem; }
.drawn:has(> .tall:only-child) { width: 14rem; }
.drawn.many { grid-template-columns: repeat(2, minmax(0, 1fr)); width: 27rem; }
.drawn figure { margin: 0; min-width: 0; }
.drawn img { background: var(--line); }
.drawn img:not([width]) { aspect-ratio: 1; object-fit: contain; }
.drawn figcaption { margin-top: .25rem; font-size: .8125rem; color: var(--muted); }
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
.dots { display: flex; gap: .3rem; padding: .35rem .05rem; }
.dots i { width: .5rem; height: .5rem; border-radius: 50%; background: var(--muted); animation: hop 1.2s infinite; }
.dots i:nth-of-type(2) { animation-delay: .15s; }
.dots i:nth-of-type(3) { animation-delay: .3s; }
@keyframes hop { 0%, 60%, 100% { opacity: .35; } 30% { opacity: 1; transform: translateY(-.2rem); } }
#chat-stop { margin-left: auto; }
#chat-stop:not([hidden]) + .primary { margin-left: 0; }

#history { margin: 0 -.25rem .5rem; font-size: .9375rem; }
#history summary { width: fit-content; padding: .15rem .6rem; border-radius: 8px; color: var(--muted); cursor: pointer; }
#history summary:hover { background: var(--sunken); color: var(--text); }
.history-body { display: grid; gap: .5rem; justify-items: start; max-height: min(15rem, 30vh); overflow-y: auto; margin-top: .35rem; padding: .5rem; border-radius: 10px; background: var(--sunken); }
#history-list { list-style: none; width: 100%; display: grid; gap: .15rem; }
#history-list:empty, #history-trouble:empty { display: none; }
#history-list li { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center; gap: .25rem .5rem; }
#history-list .error { grid-column: 1 / -1; }
.history-open { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; min-width: 0; padding: .35rem .6rem; background: transparent; text-align: left; }
.history-open:hover { background: var(--surface); }
.history-open[aria-current] { background: var(--tint); }
.history-title { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.history-facts { color: var(--muted); font-size: .8125rem; }
.history-delete { padding: .15rem .6rem; font-size: .8125rem; background: var(--surface); }
.history-delete[data-sure] { border-color: var(--bad); color: var(--bad); }
`
