/** Wide and narrow windows, and what people have asked their system for. Stands last, so that it wins. */
export const SCREENS = `
@media (min-width: 62rem) {
  .work { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); align-items: start; }
  #chat { position: sticky; top: 5.25rem; height: clamp(30rem, 100vh - 6.75rem, 56rem); }
}
@media (max-width: 80rem) {
  header { position: static; }
  .identity { margin-left: auto; }
  #chat { top: 1rem; }
  html { scroll-padding-top: 1rem; }
}
@media (max-width: 48rem) {
  header { gap: .5rem .75rem; padding-inline: .75rem; }
  #health { order: 1; margin-left: auto; }
  .identity { order: 2; }
  nav { order: 3; margin: 0; }
  .docs { order: 4; margin-left: auto; }
  nav a, .docs { padding: .45rem .5rem; }
  .identity { flex: 1 1 100%; flex-wrap: wrap; min-width: 0; }
  .who { flex: 1 1 100%; min-width: 0; }
  .identity input { flex: 1; min-width: 0; width: 0; }
  #identity-problem { order: 2; text-align: left; white-space: normal; }
  main { padding: 1rem .75rem; }
  .row .primary { flex: 1; }
  .segments { flex: 1 1 100%; flex-wrap: nowrap; }
  .segments label { flex: 1 1 auto; }
  .segments span { justify-content: center; padding: 0 .4rem; }
}
@media (max-width: 26rem) {
  .shape { display: none; }
}
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation-duration: 4s !important; transition: none !important; }
  .typing i { animation: none; }
}
@media (forced-colors: active) {
  .segments input:checked + span { outline: 2px solid; }
}
`
