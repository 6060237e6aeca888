/** Pictures, videos, failures, and the cards of recent creations. */
export const CREATIONS = `
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
.picture { position: relative; display: block; border-radius: 10px; overflow: hidden; }
.picture img { display: block; width: 100%; height: auto; background: var(--sunken); }
.picture a:focus-visible { outline-offset: -4px; }
.picture .download { position: absolute; right: .5rem; bottom: .5rem; width: 2.25rem; height: 2.25rem; display: grid; place-items: center; border-radius: 50%; background: rgb(10 18 30 / .72); color: #fff; text-decoration: none; font-size: 1.125rem; }
.picture .download:hover, .picture .download:focus-visible { background: rgb(10 18 30 / .92); }
.sketch { aspect-ratio: 1; background: linear-gradient(100deg, var(--sunken) 40%, var(--line) 50%, var(--sunken) 60%) 0 0 / 300% 100%; animation: shine 1.8s linear infinite; }
.sketch.LANDSCAPE { aspect-ratio: 7 / 4; }
.sketch.PORTRAIT { aspect-ratio: 4 / 7; }
@keyframes shine { from { background-position: 100% 0; } to { background-position: -50% 0; } }
.caption { font-size: .9375rem; color: var(--muted); }
.caption strong { font-weight: 600; color: var(--text); }
.result video { display: block; width: 100%; height: auto; max-height: 30rem; border-radius: 10px; background: #000; }
.result video.tall { width: auto; height: 30rem; max-width: 100%; }
.waiting-actions { margin-top: .7rem; }
.error { padding: .7rem .95rem; border-radius: 10px; background: var(--bad-tint); border: 1px solid var(--bad); overflow-wrap: anywhere; }
.error-message { font-weight: 500; }
.error-when { font-size: .9375rem; }
.error-facts { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8125rem; color: var(--muted); }
.error-facts code { font-family: ui-monospace, "SF Mono", Consolas, monospace; }
.error .quiet { margin-top: .5rem; }

#recent { padding: .5rem .1rem 1rem; }
#recent h2 { margin-bottom: .6rem; }
.cards { list-style: none; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden; min-width: 0; }
.card:not(:has(.preview)) { align-self: start; }
.preview { position: relative; aspect-ratio: 4 / 3; background: var(--sunken); overflow: hidden; }
.preview video { width: 100%; height: 100%; object-fit: contain; background: #1b2430; display: block; }
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
.card-files { display: flex; flex-wrap: wrap; gap: .1rem .6rem; font-size: .8125rem; color: var(--muted); }
.card-actions .quiet { padding: .15rem .7rem; font-size: .8125rem; }
.card-actions .error { margin-top: .5rem; }
.card-error { font-size: .8125rem; color: var(--bad); overflow-wrap: anywhere; }
.badge { padding: .05rem .55rem; border-radius: 999px; background: var(--sunken); color: var(--muted); font-weight: 600; }
.badge.completed { color: var(--good); }
.badge.failed { background: var(--bad-tint); color: var(--bad); }
.badge.processing { background: var(--tint); color: var(--accent); }
.more { margin-top: 1rem; text-align: center; }
#recent-trouble:not(:empty) { margin-top: 1rem; }
`
