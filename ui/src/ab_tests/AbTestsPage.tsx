import { Anchor, Badge, Button, Table, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconArrowsSplit2, IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { abTestsQuery } from '../api/queries';
import { CodeBlock } from '../components/CodeBlock';
import { EmptyState } from '../components/EmptyState';
import { count, onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable, Page } from '../components/Page';
import { useAsked } from '../shell/useAsked';
import { useMay, useProject } from '../shell/useProject';
import { AbTestDialog } from './AbTestDialog';
import { percent, STATUS } from './verdict';

/** The A/B tests of a project: which are running, and how the others ended. */
export function AbTestsPage() {
  const project = useProject();
  const mayManage = useMay('ab_test:manage');
  const query = useQuery(abTestsQuery(project));
  const [creating, dialog] = useDisclosure(false);
  useAsked('Create A/B test', dialog.open);
  const create = mayManage && (
    <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
      Create A/B test
    </Button>
  );
  return (
    <Page
      title="A/B tests"
      description="Live traffic says which model is better on a metric. A test ends by itself once that is beyond doubt."
      actions={create}
    >
      <Loaded query={query} failed="A/B tests could not be read">
        {(tests) =>
          tests.length === 0 ? (
            <NoTests project={project} />
          ) : (
            <DataTable
              label="A/B tests"
              head={['Test', 'Status', 'Metric', 'Models', 'Traffic', 'Scores', 'Begun', 'Winner']}
            >
              {tests.map((test) => (
                <Table.Tr key={test.id}>
                  <Table.Td>
                    <Anchor
                      size="sm"
                      fw={600}
                      renderRoot={(props) => (
                        <Link
                          to="/projects/$project/ab-tests/$test"
                          params={{ project, test: test.key }}
                          {...props}
                        />
                      )}
                    >
                      {test.name || test.key}
                    </Anchor>
                  </Table.Td>
                  <Table.Td>
                    <Badge variant="dot" color={STATUS[test.status].color} miw="max-content">
                      {STATUS[test.status].label}
                    </Badge>
                  </Table.Td>
                  <Table.Td>{test.metric ?? '(deleted)'}</Table.Td>
                  <Table.Td miw={200}>{test.models.map((model) => model.key).join(', ')}</Table.Td>
                  <Table.Td>{percent(test.traffic_split)}</Table.Td>
                  <Table.Td>{count(test.scores)}</Table.Td>
                  <Table.Td style={{ whiteSpace: 'nowrap' }}>{onDay(test.begun_at)}</Table.Td>
                  <Table.Td>{test.verdict?.winner ?? '–'}</Table.Td>
                </Table.Tr>
              ))}
            </DataTable>
          )
        }
      </Loaded>
      <AbTestDialog project={project} opened={creating} onClose={dialog.close} />
    </Page>
  );
}

function NoTests({ project }: { project: string }) {
  const code = `from adaptive_engine import Adaptive

adaptive = Adaptive(default_project=${JSON.stringify(project)})
adaptive.feedback.register_key("helpful", kind="bool")
adaptive.ab_tests.create("which", "helpful", ["one-model", "another"], traffic_split=0.2)
`;
  return (
    <EmptyState icon={IconArrowsSplit2} title="No A/B test yet">
      <Text size="sm">
        A test needs a metric and two models of this project. Requests that name no model are divided among
        them, and their scores decide:
      </Text>
      <div style={{ textAlign: 'left', marginTop: 12 }}>
        <CodeBlock code={code} label="Python" />
      </div>
    </EmptyState>
  );
}
