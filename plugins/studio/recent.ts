import type { TaskView } from '../../schemas/task.ts'
import { html, httpUrl, type Markup } from './html.ts'

/** Status as people read it; the page's script uses the same words. */
export const STATUS_LABELS: Record<TaskView['status'], string> = {
  processing: 'In progress',
  completed: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled'
}

/**
 * Behind the address of a film: some browsers show its first picture only when told where to look, before anybody has
 * started it. https://www.w3.org/TR/media-frags/#naming-time
 */
export const STILL = '#t=0.1'

interface ShownFile {
  url: string
  width: number | null
  height: number | null
  isFilm: boolean
  isOwn: boolean
}

/** One creation as a card. `script/recent.ts` builds the same elements for what is created while the page is open. */
export function taskCard(task: TaskView): Markup {
  const files = filesOf(task)
  return html`<li class="card" tabindex="-1" data-task="${task.id}" data-status="${task.status}">
${preview(task, files)}<div class="card-text">
<p class="card-prompt" title="${task.prompt}">${task.prompt}</p>
<p class="card-meta"><span class="badge ${task.status}">${STATUS_LABELS[task.status]}</span>
<span>${task.kind === 'video' ? 'Video' : 'Pictures'}</span>
<time datetime="${task.createdAt}">${task.createdAt.slice(0, 16).replace('T', ' ')} UTC</time></p>
${downloads(files)}
${
  task.status === 'processing' &&
  html`<div class="card-actions"><button type="button" class="quiet" data-cancel aria-label="Cancel: ${task.prompt}">Cancel</button></div>`
}
${task.error !== null && html`<p class="card-error">${task.error}</p>`}
</div>
</li>`
}

/** The gateway's copies, and where there are none what Bing has said. As `filesOf` in `script/media.ts`. */
function filesOf({ media = [], images = [], video }: TaskView): ShownFile[] {
  const copies = media.flatMap(({ url, contentType, ...size }) =>
    httpUrl(url) === undefined
      ? []
      : [{ ...size, url: ownPath(url), isFilm: contentType.startsWith('video/'), isOwn: true }]
  )
  if (copies.length > 0) return copies
  return [...(video === null ? [] : [video]), ...images].flatMap((address) => {
    const url = httpUrl(address)
    return url === undefined
      ? []
      : [{ url, width: null, height: null, isFilm: address === video, isOwn: false }]
  })
}

/** A copy is fetched from where the page came from, whatever name PUBLIC_URL gives the gateway. */
function ownPath(url: string): string {
  const { pathname, search } = new URL(url)
  return `media/${pathname.split('/').pop()}${search}`
}

/** Nothing for what has ended without files. */
function preview({ prompt, status }: TaskView, files: readonly ShownFile[]): Markup | false {
  const film = files.find(({ isFilm }) => isFilm)
  if (film !== undefined) {
    return html`<div class="preview"><video controls playsinline preload="metadata" aria-label="${prompt}"${size(film)} src="${film.url}${STILL}"></video></div>`
  }
  if (files.length > 0) {
    return html`<div class="preview mosaic n${Math.min(files.length, 4)}">${files.map(
      (file) =>
        html`<a href="${file.url}" target="_blank" rel="noopener noreferrer"><img loading="lazy" decoding="async" alt="${prompt}"${size(file)} src="${file.url}"></a>`
    )}</div>`
  }
  return status === 'processing' && html`<div class="preview empty" aria-hidden="true"></div>`
}

function size({ width, height }: ShownFile): Markup | false {
  return width !== null && height !== null && html` width="${width}" height="${height}"`
}

function downloads(files: readonly ShownFile[]): Markup | false {
  if (!files.some(({ isOwn }) => isOwn)) return false
  const links = files.map(({ url, isFilm }, i) => {
    const label = isFilm ? 'Download video' : `Download picture ${i + 1}`
    return html`<a class="download" href="${url}" download aria-label="${label}" title="${label}">${files.length > 1 ? i + 1 : 'Download'}</a>`
  })
  return html`<p class="card-files">${files.length > 1 && html`<span>Download</span>`}${links}</p>`
}
