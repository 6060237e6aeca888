/** Colours, as custom properties for light and dark; the header, panels and forms. */
export const FRAME = `
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
.identity { display: flex; align-items: center; gap: .5rem 1rem; font-size: .9375rem; white-space: nowrap; }
.who { display: flex; align-items: center; gap: .5rem; }
.identity input { width: 10.5rem; }
#identity-problem { flex-basis: 100%; text-align: right; font-size: .875rem; color: var(--bad); }

main, .work, .create { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.25rem; }
main { max-width: 84rem; margin: 0 auto; padding: 1.25rem; }
.panel { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: var(--shadow); padding: 1.1rem 1.25rem 1.25rem; }
.panel-head { display: flex; align-items: center; gap: .75rem; min-height: 2.25rem; margin-bottom: .5rem; }
.panel-head button { margin-left: auto; }
#chat-turns { font-size: .875rem; }

form { display: grid; gap: .6rem; }
form > label { font-size: .9375rem; font-weight: 500; }
input[type=text], input[type=password], select, textarea { border: 1px solid var(--edge); border-radius: 10px; background: var(--surface); padding: .45rem .7rem; }
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
.quiet[aria-disabled=true] { opacity: .55; cursor: progress; }
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
footer { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 2rem; max-width: 84rem; margin: 0 auto; padding: 1rem 1.25rem 2rem; font-size: .875rem; color: var(--muted); }
footer a { margin-right: .75rem; }
`
