import type { Clock } from '../../clock.ts'
import type { Account } from '../account.ts'
import type { CreationClient, ImageRequest } from '../creation-client.ts'
import type { UpstreamHttp } from '../http.ts'
import { createMediaHosts } from '../media/media-url.ts'
import { ASPECTS, CREATE_PATH, MODELS, POLL_IID, RESULTS_PATH, RT, SUBMIT_FORM } from './constants.ts'
import { lookAtCreation, openResultPage } from './look.ts'
import { readImagePoll } from './poll-answer.ts'
import { type CreatorSession, createCreatorSession } from './session.ts'
import { encodeQuery, type SubmitForm, submitCreation } from './submit.ts'

export interface CreatorClientSettings {
  /** `https://www.bing.com`, or a stand-in. */
  bingUrl: string
  /** `https://th.bing.com`, or a stand-in: base of relative picture addresses. */
  mediaUrl: string
  account: Account
  http: UpstreamHttp
  clock: Clock
  /** Pass one object to the image and the video client, so that they share a sign-in. */
  session?: CreatorSession
}

/** Bing Image Creator, variant G2 of docs/protocol/images.md. */
export function createImageClient(settings: CreatorClientSettings): CreationClient<ImageRequest> {
  const session = settings.session ?? createCreatorSession(settings)
  const context = { ...settings, session }
  const hosts = createMediaHosts([settings.mediaUrl, settings.bingUrl], { anyLoopbackPort: true })

  return {
    submit(request, signal, beforeSend) {
      const { rt } = MODELS[request.model]
      const other = rt === RT.fast ? RT.standard : RT.fast
      return submitCreation(
        context,
        {
          prompt: request.prompt,
          referer: CREATE_PATH,
          first: submitForm(request, rt),
          second: submitForm(request, other),
          secondIsFree: other === RT.standard,
          notAccepted: 'I2'
        },
        signal,
        beforeSend
      )
    },
    open: (job, signal) => openResultPage(context, job, signal),
    look(job, signal) {
      const { prompt, model } = job.request
      return lookAtCreation(
        context,
        job,
        {
          pollPath: ({ ig }) =>
            `${RESULTS_PATH}${encodeURIComponent(job.upstreamId)}?${encodeQuery({ q: prompt, IG: ig, IID: POLL_IID })}`,
          referer: CREATE_PATH,
          read: (body) => readImagePoll(body, { prompt, model, mediaUrl: settings.mediaUrl, hosts }),
          hollowRow: 'I22',
          signedOutRow: 'I20-auth'
        },
        signal
      )
    },
    forgetSession: () => session.forget()
  }
}

function submitForm({ prompt, model, aspect }: ImageRequest, rt: number): SubmitForm {
  return ({ ig }) => ({
    path: CREATE_PATH,
    query: { q: prompt, FORM: SUBMIT_FORM, IG: ig, rt, mdl: MODELS[model].mdl, ar: ASPECTS[aspect].ar },
    body: { q: prompt, model: MODELS[model].body, aspectRatio: ASPECTS[aspect].body }
  })
}
