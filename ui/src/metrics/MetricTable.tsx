import { ActionIcon, Badge, Group, Stack, Table, Text, Title } from '@mantine/core';
import { IconEdit, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import { metricsQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { useMay } from '../shell/useProject';
import { MetricDialog } from './MetricDialog';
import type { Metric } from './queries';

const CATEGORIES: Record<NonNullable<Metric['category']>, string> = {
  USER: 'people and programs',
  GRADER: 'a grader',
  SYSTEM: 'the server',
};

/** All metrics of a project, and what they mean. */
export function MetricTable({ project }: { project: string }) {
  const client = useQueryClient();
  const query = useQuery(metricsQuery(project));
  const mayManage = useMay('metric:manage');
  const [editing, setEditing] = useState<Metric | null>(null);
  const [deleting, setDeleting] = useState<Metric | null>(null);
  const remove = async () => {
    await api.DELETE('/api/v1/metrics/{key}', {
      params: { path: { key: deleting!.key }, query: { project } },
    });
    // It may have been the project's default.
    for (const queryKey of [['metrics', project], ['projects']]) await client.invalidateQueries({ queryKey });
  };
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        All metrics
      </Title>
      <Loaded query={query} failed="Metrics could not be read">
        {(metrics) => (
          <DataTable label="All metrics" head={['Metric', 'Key', 'Values', 'Given by', '']}>
            {metrics.map((metric) => (
              <Table.Tr key={metric.id}>
                <Table.Td>
                  <Text size="sm" fw={500}>
                    {metric.name}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {metric.description}
                  </Text>
                </Table.Td>
                <Table.Td miw={160}>
                  <code>{metric.key}</code>
                </Table.Td>
                <Table.Td>
                  <Group gap={6}>
                    <Badge variant="default" tt="none" size="sm">
                      {metric.kind === 'BOOL'
                        ? 'yes or no'
                        : `number${metric.unit ? `, ${metric.unit}` : ''}`}
                    </Badge>
                    <Badge variant="default" tt="none" size="sm">
                      {metric.scoring_type === 'LOWER_IS_BETTER' ? 'lower is better' : 'higher is better'}
                    </Badge>
                  </Group>
                </Table.Td>
                <Table.Td>{CATEGORIES[metric.category ?? 'USER']}</Table.Td>
                <Table.Td>
                  {mayManage && metric.category !== 'SYSTEM' && (
                    <Group gap={2} wrap="nowrap" justify="flex-end">
                      <ActionIcon
                        variant="subtle"
                        color="gray"
                        aria-label={`Edit ${metric.name}`}
                        onClick={() => setEditing(metric)}
                      >
                        <IconEdit size={16} />
                      </ActionIcon>
                      <ActionIcon
                        variant="subtle"
                        color="red"
                        aria-label={`Delete ${metric.name}`}
                        onClick={() => setDeleting(metric)}
                      >
                        <IconTrash size={16} />
                      </ActionIcon>
                    </Group>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
      {editing && (
        <MetricDialog
          key={editing.id}
          project={project}
          metric={editing}
          opened
          onClose={() => setEditing(null)}
        />
      )}
      <ConfirmDialog
        title="Delete metric"
        confirm="Delete"
        opened={deleting !== null}
        onClose={() => setDeleting(null)}
        onConfirm={remove}
      >
        The metric {deleting?.name} is deleted with all scores, comparisons and outcomes that were given on
        it. This cannot be undone.
      </ConfirmDialog>
    </Stack>
  );
}
