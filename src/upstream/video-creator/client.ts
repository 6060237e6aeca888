import type { CreationClient, VideoRequest } from '../creation-client.ts'
import type { CreatorClientSettings } from '../image-creator/client.ts'
import { CREATE_PATH, RESULTS_PATH, SUBMIT_FORM } from '../image-creator/constants.ts'
import { lookAtCreation, openResultPage } from '../image-creator/look.ts'
import { createCreatorSession } from '../image-creator/session.ts'
import { encodeQuery, type SubmitForm, submitCreation } from '../image-creator/submit.ts'
import { createMediaHosts } from '../media/media-url.ts'
import { POLL_QUERY, REPEAT_IID, SPEEDS, SUBMIT_BODY, SUBMIT_QUERY, VIDEO_PAGE } from './constants.ts'
import { readVideoPoll, videoRefusal } from './parser.ts'

/** Bing Video Creator, variant V2 of docs/protocol/video.md. */
export function createVideoClient(settings: CreatorClientSettings): CreationClient<VideoRequest> {
  const session = settings.session ?? createCreatorSession(settings)
  const context = { ...settings, session }
  const hosts = createMediaHosts([settings.mediaUrl, settings.bingUrl], { anyLoopbackPort: true })

  return {
    submit(request, signal, beforeSend) {
      return submitCreation(
        context,
        {
          prompt: request.prompt,
          referer: VIDEO_PAGE,
          first: submitForm(request),
          second: submitForm(request, REPEAT_IID),
          // Whoever asked for the fast queue did not ask for hours in the other one.
          secondIsFree: false,
          notAccepted: 'V3',
          refusal: (row, html) => videoRefusal(row, html, request.prompt)
        },
        signal,
        beforeSend
      )
    },
    open: (job, signal) => openResultPage(context, job, signal),
    look(job, signal) {
      const { prompt } = job.request
      return lookAtCreation(
        context,
        job,
        {
          pollPath: ({ ig }) =>
            `${RESULTS_PATH}${encodeURIComponent(job.upstreamId)}?${encodeQuery({ q: prompt, IG: ig, ...POLL_QUERY })}`,
          referer: VIDEO_PAGE,
          read: (body) => readVideoPoll(body, { prompt, mediaUrl: settings.mediaUrl, hosts }),
          hollowRow: 'V7',
          signedOutRow: 'V8'
        },
        signal
      )
    },
    forgetSession: () => session.forget()
  }
}

function submitForm({ prompt, speed }: VideoRequest, iid?: string): SubmitForm {
  return ({ ig }) => ({
    path: CREATE_PATH,
    query: { q: prompt, FORM: SUBMIT_FORM, IG: ig, IID: iid, ...SPEEDS[speed], ...SUBMIT_QUERY },
    body: { q: prompt, ...SUBMIT_BODY }
  })
}
