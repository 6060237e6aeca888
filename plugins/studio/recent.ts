import type { TaskView } from '../../schemas/task.ts'
import { html, httpUrl, type Markup } from './html.ts'

/** Status as people read it; the page's script uses the same words. */
export const STATUS_LABELS: Record<TaskView['status'], string> = {
  processing: 'In progress',
  completed: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled'
}

/** One creation as a card. `script/recent.ts` builds the same elements for what is created while the page is open. */
export function taskCard(task: TaskView): Markup {
  return html`<li class="card" data-task="${task.id}" data-status="${task.status}">
${preview(task)}
<div class="card-text">
<p class="card-prompt" title="${task.prompt}">${task.prompt}</p>
<p class="card-meta"><span class="badge ${task.status}">${STATUS_LABELS[task.status]}</span>
<span>${task.kind === 'video' ? 'Video' : 'Pictures'}</span>
<time datetime="${task.createdAt}">${task.createdAt.slice(0, 16).replace('T', ' ')} UTC</time></p>
${task.error !== null && html`<p class="card-error">${task.error}</p>`}
</div>
</li>`
}

function preview({ prompt, images = [], video }: TaskView): Markup {
  const pictures = images.map(httpUrl).filter((url) => url !== undefined)
  const film = video === null ? undefined : httpUrl(video)
  if (film !== undefined) {
    return html`<div class="preview"><video controls playsinline preload="metadata" aria-label="${prompt}" src="${film}"></video></div>`
  }
  if (pictures.length > 0) {
    return html`<div class="preview mosaic n${Math.min(pictures.length, 4)}">${pictures.map(
      (url) =>
        html`<a href="${url}" target="_blank" rel="noopener noreferrer"><img loading="lazy" alt="${prompt}" src="${url}"></a>`
    )}</div>`
  }
  return html`<div class="preview empty" aria-hidden="true"></div>`
}
