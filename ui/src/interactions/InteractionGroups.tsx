import { Alert, Button, Group, Stack, Table, Text, UnstyledButton } from '@mantine/core';
import { IconStack2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { EmptyState } from '../components/EmptyState';
import { count, figure, when } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { lastQuestion } from './content';
import { type Filter, filterOf, type Search } from './filter';
import { GROUP_PAGE, groupsQuery } from './queries';

interface InteractionGroupsProps {
  project: string;
  search: Search;
  /** Look at the interactions of one group. */
  onNarrow: (filter: Filter) => void;
}

/** How many interactions each model or prompt has, and their scores. The largest come first. */
export function InteractionGroups({ project, search, onNarrow }: InteractionGroupsProps) {
  const asked = JSON.stringify([search.group, filterOf(search)]);
  const [page, setPage] = useState({ asked, offset: 0 });
  const offset = page.asked === asked ? page.offset : 0;
  const query = useQuery(groupsQuery(project, search, offset));
  const byModel = search.group === 'model';
  return (
    <Loaded query={query} failed="Groups could not be read">
      {(groups) =>
        groups.data.length === 0 ? (
          <EmptyState icon={IconStack2} title="There is nothing to group">
            No interaction matches. Take a filter away, or ask something in the chat.
          </EmptyState>
        ) : (
          <Stack gap="sm">
            {groups.searched_to && (
              <Alert color="yellow" py={6}>
                Counting took too long: only interactions from {when(groups.searched_to)} on are in these
                numbers. Narrow the filter.
              </Alert>
            )}
            <DataTable
              label={`Interactions by ${search.group}`}
              head={[
                byModel ? 'Model' : 'Prompt',
                'Interactions',
                'Scores: mean (least to greatest), how many',
                'Newest',
              ]}
            >
              {groups.data.map((group) => {
                const newest = group.interactions.data[0];
                const question = newest ? lastQuestion(newest.messages) : '';
                const name = (byModel ? group.key : question) || '(none)';
                const filter = byModel ? { model: [group.key!] } : { promptHash: group.key! };
                return (
                  <Table.Tr key={group.key ?? ''}>
                    <Table.Td>
                      {group.key === null ? (
                        <Text size="sm">{name}</Text>
                      ) : (
                        <UnstyledButton
                          c="var(--mantine-color-anchor)"
                          fz="sm"
                          onClick={() => onNarrow(filter)}
                        >
                          {name}
                        </UnstyledButton>
                      )}
                    </Table.Td>
                    <Table.Td>{count(group.count)}</Table.Td>
                    <Table.Td style={{ whiteSpace: 'nowrap' }}>
                      {group.scores.length === 0 && '–'}
                      {group.scores.map((score) => (
                        <div key={score.metric_id}>
                          {score.metric}: <b>{figure(score.mean)}</b> ({figure(score.min)} to{' '}
                          {figure(score.max)}), {count(score.count)}
                        </div>
                      ))}
                    </Table.Td>
                    <Table.Td style={{ whiteSpace: 'nowrap' }}>{when(newest?.created_at)}</Table.Td>
                  </Table.Tr>
                );
              })}
            </DataTable>
            <Group justify="space-between">
              <Text size="sm" c="dimmed" role="status">
                {offset + 1} to {offset + groups.data.length} of {count(groups.total_count)}
              </Text>
              <Group gap="xs">
                <Button
                  size="xs"
                  variant="default"
                  disabled={offset === 0}
                  onClick={() => setPage({ asked, offset: offset - GROUP_PAGE })}
                >
                  Previous
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  disabled={!groups.has_more}
                  onClick={() => setPage({ asked, offset: offset + GROUP_PAGE })}
                >
                  Next
                </Button>
              </Group>
            </Group>
          </Stack>
        )
      }
    </Loaded>
  );
}
