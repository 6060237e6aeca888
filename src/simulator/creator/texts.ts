import type { ErrorText, Marker } from './behaviour.ts'

/** Title and detail of the error panel for each text. */
const PANELS: Record<Exclude<ErrorText, 'none' | 'sorry'>, [title: string, detail: string]> = {
  blocked: ['Content policy', 'This prompt has been blocked. Our system flagged it automatically.'],
  'content-warning': [
    'Content warning',
    'This may conflict with our content policy. Please try another prompt.'
  ],
  'under-review': ['Prompt under review', 'This prompt is being reviewed. Please try another one meanwhile.'],
  'unsafe-image': ['Unsafe image content detected', 'Your image generations are not displayed.'],
  language: [
    'Language',
    "We're working hard to offer Image Creator in more languages. Please use English for now."
  ],
  'short-prompt': ['More words', 'Please provide a more descriptive prompt.'],
  ongoing: [
    'One moment',
    'Please wait until your other ongoing creations are complete before trying to create again.'
  ],
  'queue-limit': ["You can't submit any more prompts", 'Your earlier prompts are still waiting in line.'],
  'no-coins': ['Fast creations', 'You have 0 coins available.'],
  'high-demand': ['Busy', "Due to high demand, we're unable to process new requests. Please come back soon."],
  'cannot-create': [
    "We can't create your images right now",
    'Please wait a little and send your prompt again.'
  ],
  problem: ['Not done', "There was a problem creating your images. Your boost won't be used for this one."],
  'try-later': ['Not done', 'Please try again or come back later.'],
  region: ['Region', 'Image creation is coming soon to your region.'],
  outage: ['Outage', "Bing isn't avaiable right now."],
  'video-requests': ['Video', 'Too many requests. Wait until a video is complete.'],
  'video-rate': ['Video', 'You have reached the rate limit for videos.'],
  'video-concurrent': ['Video', 'You have reached the number of concurrent videos.'],
  'video-wrong': ['Video', 'Something went wrong.'],
  'video-later': ['Video', 'Try again later.'],
  'video-could-not': ['Video', "We couldn't create your video."],
  'video-error': ['Video', 'An error occurred while the video was made.'],
  'video-unable': ['Video', 'We are unable to generate this video.']
}

const panel = (title: string, detail: string): string => `<div class="gil_err_tc" role="alert">
  <div class="gil_err_mt">${title}</div><div class="gil_err_sbt">${detail}</div></div>`

/** The visible error panel with a text; empty for `none`. */
export function errorPanel(text: ErrorText): string {
  if (text === 'none') return ''
  if (text === 'sorry') {
    return `<div class="pandaPage"><h1>We're sorry</h1><p>We've run into an issue. Please reload this page.</p></div>`
  }
  return panel(...PANELS[text])
}

/** The block that marks a refused prompt, whatever its language; empty for `none`. */
export function refusalBlock(marker: Marker): string {
  const title = 'Contenu bloqué'
  return {
    none: '',
    'girer-icon': `<div class="girer_center block_icon"><p>${title}</p></div>`,
    'clarity-tag': `<div data-clarity-tag="BlockedByContentPolicy"><p>${title}</p></div>`,
    'dq-err': `<div id="gi_form_err" dq-err="policy"><p>${title}</p></div>`,
    'gil-err-img': `<div class="gil_err_img block_icon rms_img"></div><p>${title}</p>`,
    'girer-title': `<div id="girer" class="girer"><span class="girer_title" title="Unsafe image content detected">${title}</span></div>`
  }[marker]
}

/** The fallback panel that good pages carry too, never shown. */
export const HIDDEN_PANEL = `<div id="gil_err_d" class="hide" style="display:none" aria-hidden="true">
  <img src="/rp/TX9QuO3WzcCJz1uaaSwQAz39Kb0.jpg" alt="">${panel(...PANELS['cannot-create'])}
  <div class="gil_err_sbt">${PANELS['high-demand'][1]}</div></div>`
