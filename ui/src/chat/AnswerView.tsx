import { ActionIcon, Alert, Badge, Group, Tooltip } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconAlertTriangle, IconCode, IconFileText, IconRefresh } from '@tabler/icons-react';
import { memo } from 'react';
import { CopyText } from '../components/CodeBlock';
import { ErrorNotice } from '../components/ErrorNotice';
import { AnswerCode } from './AnswerCode';
import { AnswerText } from './AnswerText';
import { BranchPicker } from './BranchPicker';
import classes from './Chat.module.css';
import { isRunning } from './conversation';
import { figures } from './figures';
import { Preferring } from './Preferring';
import { Scoring } from './Scoring';
import { useChat } from './store';
import type { Pane, Turn } from './types';

interface AnswerViewProps {
  pane: Pane;
  turn: Turn;
  project: string;
}

/** What a model answered, what that took, and what can be done with it. */
export const AnswerView = memo(
  function AnswerView({ pane, turn, project }: AnswerViewProps) {
    const regenerate = useChat((state) => state.regenerate);
    const [raw, { toggle: toggleRaw }] = useDisclosure(false);
    const [code, { open: openCode, close: closeCode }] = useDisclosure(false);
    const answer = turn.answer!;
    const again = () => regenerate(pane.id, turn.id);
    return (
      <article aria-busy={isRunning(turn)} aria-label="Answer">
        <AnswerText turn={turn} raw={raw} />
        {answer.state === 'failed' && (
          <ErrorNotice
            error={answer.error!}
            title={turn.text ? 'The answer broke off' : 'There is no answer'}
            action={{ label: 'Try again', onClick: again }}
          />
        )}
        {answer.state === 'interrupted' && (
          <Alert color="yellow" variant="light" icon={<IconAlertTriangle size={18} />}>
            The page was closed while this came; the server stopped then. Regenerate for a whole answer.
          </Alert>
        )}
        {answer.warnings?.map((warning) => (
          <Alert key={warning.code + warning.param} color="yellow" variant="light" mt="xs" py="xs">
            {warning.message}
          </Alert>
        ))}
        {!isRunning(turn) && (
          <>
            <div className={classes.figures}>
              {figures(answer).map((text) => (
                <span key={text}>{text}</span>
              ))}
            </div>
            <div className={classes.actions}>
              <BranchPicker pane={pane} turn={turn} />
              {turn.text && <CopyText value={turn.text} label="Copy answer" />}
              <Action label="Regenerate" icon={IconRefresh} onClick={again} />
              {turn.text && (
                <Action
                  label={raw ? 'Show formatted' : 'Show as plain text'}
                  icon={IconFileText}
                  onClick={toggleRaw}
                />
              )}
              <Action label="View request as code" icon={IconCode} onClick={openCode} />
              <Scoring pane={pane.id} turn={turn} project={project} />
              <Preferring pane={pane.id} turn={turn} project={project} />
              <Group gap={6} ml={4}>
                <Remarks turn={turn} />
              </Group>
            </div>
          </>
        )}
        {code && <AnswerCode pane={pane} turn={turn} project={project} onClose={closeCode} />}
      </article>
    );
  },
  (before, after) => before.turn === after.turn && before.pane.children === after.pane.children,
);

/** What is unusual about how it ended. */
function Remarks({ turn }: { turn: Turn }) {
  const answer = turn.answer!;
  return (
    <>
      {answer.state === 'stopped' && <Badge variant="default">stopped</Badge>}
      {answer.finishReason === 'length' && <Badge variant="default">cut at max tokens</Badge>}
      {answer.schemaValid === false && (
        <Badge color="red" variant="light">
          does not match the schema
        </Badge>
      )}
      {answer.abTest && <Badge variant="default">A/B test {answer.abTest}</Badge>}
      {answer.settings.store === false && <Badge variant="default">not stored</Badge>}
    </>
  );
}

function Action({
  label,
  icon: Icon,
  onClick,
}: {
  label: string;
  icon: typeof IconCode;
  onClick: () => void;
}) {
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size="md" aria-label={label} onClick={onClick}>
        <Icon size={16} stroke={1.7} />
      </ActionIcon>
    </Tooltip>
  );
}
