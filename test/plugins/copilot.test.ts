/** The flows of chat once more, unmodified, with a gateway that speaks Copilot's protocol (the files themselves run over Sydney's). */
process.env.TEST_CHAT_UPSTREAM = 'copilot'
await import('./chat.test.ts')
await import('./chat-stream.test.ts')
await import('./conversations.test.ts')
await import('./seeds.test.ts')
