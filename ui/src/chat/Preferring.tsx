import { ActionIcon, Tooltip } from '@mantine/core';
import { IconCrown, IconCrownFilled } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { api, body } from '../api/client';
import { metricsQuery, projectsQuery } from '../api/queries';
import { tell, tellError } from '../components/tell';
import { useMay } from '../shell/useProject';
import { rivals } from './conversation';
import { useChat } from './store';
import { thumbsMetric } from './thumbs';
import type { Turn } from './types';

/** Say that an answer is better than those that other columns have to the same question. */
export function Preferring({ pane, turn, project }: { pane: string; turn: Turn; project: string }) {
  const mayScore = useMay('score:create');
  const { data: metrics = [] } = useQuery({ ...metricsQuery(project), enabled: mayScore });
  const { data: projects = [] } = useQuery(projectsQuery);
  const setPreferred = useChat((state) => state.setPreferred);
  // As one text: what comes in elsewhere does not draw it again.
  const ids = useChat((state) => rivals(state.chat?.panes ?? [], pane, turn).join(' '));
  const others = mayScore && ids ? ids.split(' ') : [];
  const metric = thumbsMetric(
    metrics,
    projects.find((found) => found.key === project),
  );
  const prefer = useMutation({
    mutationFn: async () => {
      for (const other of others) {
        await body(
          api.POST('/api/v1/comparison', {
            body: {
              metric: metric!.key,
              preferred_completion: turn.answer!.completionId!,
              other_completion: other,
            },
          }),
        );
      }
    },
    onSuccess: () => {
      setPreferred(pane, turn.id);
      tell(`Stored as a preference on ${metric!.name}`);
    },
    onError: (error) => tellError(error, 'The preference was not stored'),
  });
  if (!others.length || !metric) return null;
  const label = others.length > 1 ? 'Better than the others' : 'Better than the other';
  const preferred = turn.answer!.preferred === true;
  const Icon = preferred ? IconCrownFilled : IconCrown;
  return (
    <Tooltip label={`${label} (${metric.name})`}>
      <ActionIcon
        variant="subtle"
        color={preferred ? 'teal' : 'gray'}
        aria-label={label}
        aria-pressed={preferred}
        loading={prefer.isPending}
        onClick={() => prefer.mutate()}
      >
        <Icon size={16} stroke={1.7} />
      </ActionIcon>
    </Tooltip>
  );
}
