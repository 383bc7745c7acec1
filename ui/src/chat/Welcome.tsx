import { SimpleGrid, UnstyledButton } from '@mantine/core';
import { IconMessageCircle } from '@tabler/icons-react';
import { EmptyState } from '../components/EmptyState';
import classes from './Chat.module.css';

const SUGGESTIONS = [
  'What is the capital of France?',
  'Write a short e-mail that says the meeting moved to Friday.',
  'Explain what a hash table is, in three sentences.',
  'Give me five names for a coffee shop by the sea.',
];

/** Before the first message: what this page does, and something to begin with. */
export function Welcome({ project, onSuggest }: { project: string; onSuggest: (text: string) => void }) {
  return (
    <div className={classes.welcome}>
      <EmptyState icon={IconMessageCircle} title={`Ask the models of ${project}`}>
        <p>
          Each answer is an interaction like those of your applications: stored, labelled, ready to be scored.
          Settings, a JSON schema for answers and a second model to compare with are at the top.
        </p>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs" mt="md">
          {SUGGESTIONS.map((text) => (
            <UnstyledButton key={text} className={classes.suggestion} onClick={() => onSuggest(text)}>
              {text}
            </UnstyledButton>
          ))}
        </SimpleGrid>
      </EmptyState>
    </div>
  );
}
