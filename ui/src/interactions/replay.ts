import { errorOf, reach } from '../api/errors';
import { add, newId, newPane } from '../chat/conversation';
import { dataUri } from '../chat/images';
import type { Chat, Failure, Settings, Turn } from '../chat/types';
import { imageSource, imagesOf, readMessage, textOf } from './content';
import type { Interaction } from './queries';

/** The images of an interaction by their addresses, as data URIs: what a chat sends and this browser keeps. */
export async function loadImages(interaction: Interaction): Promise<Map<string, string>> {
  const addresses = new Set(interaction.messages.map(readMessage).flatMap(imagesOf));
  const found = new Map<string, string>();
  for (const address of addresses) {
    const source = imageSource(address);
    if (!source) continue;
    if (source === address) {
      found.set(address, address);
      continue;
    }
    const response = await reach(source);
    if (!response.ok) throw await errorOf(response);
    found.set(address, await dataUri(await response.blob()));
  }
  return found;
}

/** A new chat with the conversation of an interaction and its `images`, to be gone on with or asked again. */
export function chatOf(interaction: Interaction, owner: string, images: ReadonlyMap<string, string>): Chat {
  const messages = interaction.messages.map(readMessage);
  const settings = settingsOf(interaction);
  const system = messages.filter(({ role }) => role === 'system').map(textOf);
  if (system.length) settings.system = system.join('\n\n');
  let pane = newPane(settings);
  let parent: string | null = null;
  const put = (turn: Omit<Turn, 'id' | 'parent'>) => {
    const id = newId();
    pane = add(pane, { ...turn, id, parent });
    parent = id;
  };
  for (const message of messages) {
    if (message.role === 'user') {
      const sent = imagesOf(message).flatMap((address) => images.get(address) ?? []);
      put({ role: 'user', text: textOf(message), ...(sent.length ? { images: sent } : {}) });
    } else if (message.role === 'assistant') {
      put({ role: 'assistant', text: textOf(message), answer: { state: 'done', settings } });
    }
  }
  put({
    role: 'assistant',
    text: interaction.completion,
    answer: {
      state: interaction.state === 'cancelled' ? 'stopped' : interaction.error ? 'failed' : 'done',
      settings,
      model: interaction.model ?? undefined,
      completionId: interaction.completion_id,
      finishReason: interaction.finish_reason ?? undefined,
      usage: interaction.usage,
      ...(interaction.error ? { error: failureOf(interaction) } : {}),
    },
  });
  const first = messages.find(({ role }) => role === 'user');
  const title = first ? textOf(first).slice(0, 60) : '';
  const now = Date.now();
  return {
    id: newId(),
    owner,
    project: interaction.project,
    title: `Replay: ${title || interaction.completion_id}`,
    createdAt: now,
    updatedAt: now,
    panes: [pane],
  };
}

function failureOf({ error, request_id: requestId }: Interaction): Failure {
  const message = typeof error?.message === 'string' ? error.message : JSON.stringify(error);
  return { message, requestId };
}

/** The parameters that the request had, as far as a chat has them. */
function settingsOf({ model, parameters, labels }: Interaction): Settings {
  const settings: Settings = {};
  if (model) settings.model = model;
  const number = (name: string) => {
    const value = parameters[name];
    return typeof value === 'number' ? value : undefined;
  };
  const numbers = {
    temperature: number('temperature'),
    topP: number('top_p'),
    maxTokens: number('max_tokens'),
    seed: number('seed'),
  };
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined) settings[name as keyof typeof numbers] = value;
  }
  const stop = [parameters.stop].flat().filter((text): text is string => typeof text === 'string');
  if (stop.length) settings.stop = stop;
  const format = parameters.response_format as { json_schema?: Record<string, unknown> } | null | undefined;
  const wanted = format?.json_schema;
  if (wanted && typeof wanted.schema === 'object') {
    settings.answerSchema = {
      name: typeof wanted.name === 'string' ? wanted.name : 'answer',
      schema: JSON.stringify(wanted.schema, null, 2),
      strict: wanted.strict === true,
      complete: wanted.complete === true,
    };
  }
  if (Object.keys(labels).length) settings.labels = labels;
  return settings;
}
