import { STILL } from '../recent.ts'

/** Pictures and videos. `../recent.ts` builds the same elements for the page as it is sent. */
export const MEDIA = `
// A copy is fetched from where the page came from, whatever name the gateway gives itself in the answer.
function ownUrl(address) {
  if (httpUrl(address) === undefined) return undefined
  const { pathname, search } = new URL(address)
  return new URL('media/' + pathname.split('/').pop() + search, document.baseURI).href
}

// The gateway's copies: they last as long as the task does, and their size is known. Bing's addresses end sooner.
function filesOf({ media = [], images = [], video = null }) {
  const copies = media.map(({ url, width, height, contentType }) =>
    ({ url: ownUrl(url), width, height, isFilm: contentType.startsWith('video/'), isOwn: true }))
  const files = copies.length > 0 ? copies
    : [...(video === null ? [] : [video]), ...images].map((url) => ({ url: httpUrl(url), isFilm: url === video, isOwn: false }))
  return files.filter(({ url }) => url !== undefined)
}

const shapeOf = ({ width, height }) => (width && height && height > width ? 'tall' : undefined)

const STILL = ${JSON.stringify(STILL)}

function player(file, label, props) {
  const { url, width, height } = file
  const video = h('video', { class: shapeOf(file), controls: true, playsinline: true, 'aria-label': label, width, height, ...props })
  // The attribute alone counts for what a parser makes.
  video.muted = video.hasAttribute('muted')
  video.src = url + STILL
  return video
}

function image({ url, width, height }, label, props) {
  return external(url, {}, h('img', { src: url, alt: label, width, height, decoding: 'async', ...props }))
}

// An address elsewhere would only open.
function download({ url, isOwn }, label, ...content) {
  return isOwn && h('a', { class: 'download', href: url, download: true, 'aria-label': label, title: label }, ...content)
}

// Pictures of a chat's answer: the gateway's copies, and where there is none what the chat has said.
function drawings(attachments) {
  return attachments.flatMap(({ url, contentType, ...about }) => {
    const isOwn = contentType !== undefined
    const file = { ...about, isOwn, url: isOwn ? ownUrl(url) : httpUrl(url) }
    return file.url === undefined ? [] : [file]
  })
}

function drawn(file, i, { length }) {
  const label = length > 1 ? 'picture ' + (i + 1) + ' of ' + length : 'picture'
  return h('figure', { class: shapeOf(file) },
    h('div', { class: 'picture' },
      image(file, file.prompt || 'P' + label.slice(1), { loading: 'lazy' }),
      download(file, 'Download ' + label, h('span', { 'aria-hidden': 'true' }, '↓'))),
    file.preview && h('figcaption', {}, 'Only a preview: the finished picture did not come.'))
}

// Copies can be deleted, and addresses expire. One elsewhere may be good outside this page.
document.addEventListener('error', (event) => {
  const element = event.target
  if (!(element instanceof HTMLImageElement || element instanceof HTMLVideoElement)) return
  const place = element.closest('a') || element
  if (place.closest('.drawn') && place.host !== location.host)
    element.replaceWith(h('span', { class: 'gone' }, 'Not shown here. Open it at ' + place.host))
  else place.replaceWith(h('p', { class: 'gone' }, 'No longer available'))
}, true)
`
