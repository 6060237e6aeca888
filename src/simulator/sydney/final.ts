import {
  answerMessage,
  apologyMessage,
  disengagedMessage,
  echoMessage,
  imageMessage,
  loaderMessage,
  type Message,
  renderCardMessage,
  searchMessages,
  unknownMessage
} from './messages.ts'
import type { Plan } from './plan.ts'

/** Texts as they stand when the turn ends. */
export interface Said {
  messageId: string
  /** Empty when nothing was to be said. */
  text: string
  second: { messageId: string; text: string } | null
}

function answers(plan: Plan, said: Said): Message[] {
  const { behaviour } = plan
  const messages: Message[] = []
  const second = said.second !== null
  if (said.text !== '') {
    messages.push(
      answerMessage(plan, {
        messageId: said.messageId,
        text: said.text,
        complete: true,
        withSuggestions: !second
      })
    )
  }
  if (behaviour.image) messages.push(imageMessage(plan))
  if (said.second !== null) {
    messages.push(answerMessage(plan, { ...said.second, complete: true, withSuggestions: true }))
  }
  const rendersCard =
    behaviour.renderCard === 'always' || (behaviour.renderCard === 'search' && plan.query !== null)
  if (rendersCard) messages.push(renderCardMessage(plan))
  if (behaviour.unknownRecord) messages.push(unknownMessage(plan))
  return messages
}

/** `item.messages` in the order of docs/protocol/chat-sydney.md section 7, or what a filter leaves of it. */
export function finalMessages(plan: Plan, said: Said): Message[] {
  const internal = plan.query === null ? [] : searchMessages(plan)
  switch (plan.filter) {
    case 'echo-last':
      return [loaderMessage(plan), echoMessage(plan)]
    case 'offense':
      return [
        echoMessage(plan, { offense: 'OffenseTrigger', scores: [{ component: 'UserOffense', score: 0.97 }] })
      ]
    case 'topic-changer':
      return [echoMessage(plan, { topicChangerText: 'Let’s talk about something else.' })]
    case 'no-bot-message':
      return [echoMessage(plan), loaderMessage(plan)]
    case 'disengaged':
      return [echoMessage(plan), disengagedMessage(plan)]
    case 'apology-before':
    case 'apology-after':
      return [echoMessage(plan), ...internal, apologyMessage(plan)]
    case 'disengaged-after-text':
      return [echoMessage(plan), ...internal, ...answers(plan, said), disengagedMessage(plan)]
    default: {
      const spoken = answers(plan, said)
      return [echoMessage(plan), ...(spoken.length > 0 ? internal : [loaderMessage(plan)]), ...spoken]
    }
  }
}
