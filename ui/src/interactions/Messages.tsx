import { Paper, SegmentedControl, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { prettyJson } from '../chat/figures';
import { CodeBlock } from '../components/CodeBlock';
import Markdown from '../components/Markdown';
import { imageSource, type Part, readMessage } from './content';
import classes from './Interactions.module.css';
import type { Interaction } from './queries';

/** The conversation and the answer to it. */
export function Messages({ interaction }: { interaction: Interaction }) {
  const [formatted, setFormatted] = useState(true);
  const system = interaction.parameters.system_prompt;
  return (
    <Stack gap="sm">
      <SegmentedControl
        size="xs"
        w="fit-content"
        aria-label="Show texts as"
        data={[
          { value: 'formatted', label: 'Formatted' },
          { value: 'plain', label: 'As written' },
        ]}
        value={formatted ? 'formatted' : 'plain'}
        onChange={(value) => setFormatted(value === 'formatted')}
      />
      {typeof system === 'string' && system && (
        <Message who="system prompt of the deployment" parts={[{ text: system }]} formatted={false} />
      )}
      {interaction.messages.map((message, index) => {
        const { role, parts } = readMessage(message);
        return <Message key={index} who={role} parts={parts} formatted={formatted && role === 'assistant'} />;
      })}
      {interaction.reasoning && (
        <Message who="what it thought before" parts={[{ text: interaction.reasoning }]} formatted={false} />
      )}
      <Message
        who={`answer${interaction.model ? ` of ${interaction.model}` : ''}`}
        parts={[{ text: interaction.completion }]}
        formatted={formatted}
      />
    </Stack>
  );
}

function Message({ who, parts, formatted }: { who: string; parts: Part[]; formatted: boolean }) {
  return (
    <Paper withBorder p="sm">
      <Text size="xs" fw={600} c="dimmed" mb={4}>
        {who}
      </Text>
      {parts.map((part, index) => (
        <MessagePart key={index} part={part} formatted={formatted} />
      ))}
    </Paper>
  );
}

function MessagePart({ part, formatted }: { part: Part; formatted: boolean }) {
  if (part.image !== undefined) {
    const source = imageSource(part.image);
    return source ? (
      <img src={source} alt="As it was sent" className={classes.image} />
    ) : (
      <pre className={classes.text}>{part.image}</pre>
    );
  }
  const text = part.text ?? '';
  if (!text) return <Text c="dimmed">(empty)</Text>;
  if (!formatted) {
    return (
      <pre className={classes.text} dir="auto">
        {text}
      </pre>
    );
  }
  const json = prettyJson(text);
  return json ? <CodeBlock code={json} label="JSON" /> : <Markdown text={text} />;
}
